"""Scans and masks as files: formats, what their headers say and leave unsaid, and what is refused.

Others use of it:

- ``dicom_seg``: check_dicom_seg
- ``image_files``: ijk_to_ras_of, read_itk_image, read_scan, refuse_unless_scalar_3d
- ``mask_files``: check_mask_file, write_mask
- ``modality``: believed_modality, guess_modality, MODALITIES
- ``nifti_files``: is_nifti
- ``outputs``: check_folder, check_output, refuse_inputs
- ``padding``: finite, without_padding
- ``refusals``: colours, four_dimensional, LOAD_WHOLE_SERIES, RESAMPLE_IN_SLICER, sheared
- ``scan_record``: ScanSource
"""
